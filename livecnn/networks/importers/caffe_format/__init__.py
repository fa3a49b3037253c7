"""Protocol buffers, the format of Caffe's files, as text and binary."""
