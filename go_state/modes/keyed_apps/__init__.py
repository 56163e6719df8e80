"""keyed_apps."""
