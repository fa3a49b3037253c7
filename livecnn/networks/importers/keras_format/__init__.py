"""TODO keras_format."""
