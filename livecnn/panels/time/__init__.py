"""Values over the last seconds, and the axis that they are drawn at."""
