"""The figure: header, panels, and the overlays, where something new over the panels goes."""
