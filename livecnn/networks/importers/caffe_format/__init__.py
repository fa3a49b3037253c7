"""TODO caffe_format."""
