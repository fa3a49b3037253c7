"""Files: pictures, tables, YAML, downloads and locks; a new format is a module here, a new kind of film one in `recorders`."""
