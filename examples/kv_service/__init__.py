"""A key-value service over HTTP: its messages are Put and Delete, its model is the map, its log is the journal."""
