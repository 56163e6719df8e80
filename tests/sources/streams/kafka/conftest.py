"""The servers that these tests share."""

from kafka_server import kafka_server
from postgres_server import postgres_server

__all__ = ["kafka_server", "postgres_server"]
