"""What several kinds of sources share: OpenCV captures, cameras as Linux lists them, natural order. Each is a file here."""
