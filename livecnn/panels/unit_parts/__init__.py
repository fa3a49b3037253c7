"""TODO unit_parts."""
