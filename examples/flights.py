"""The program of 01_flights.py under a name that `import` takes, for the command: go-state inspect flights:airlines FILE."""

from importlib import import_module

airlines = import_module("01_flights").airlines
