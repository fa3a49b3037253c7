"""Parts of the layer panel, one file for each way to show a layer; `panels/layer.py` chooses among them."""
