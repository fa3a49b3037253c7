"""TODO caffe_layers."""
