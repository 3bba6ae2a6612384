"""The database that the demo and the tests keep to themselves."""

from pathlib import Path

from pymongo import MongoClient

from fiftyone_environment import CACHE
from mongodb import find_server, running


def process_id(uri: str) -> int:
    with MongoClient(uri) as client:
        return client.admin.command("serverStatus")["pid"]


def test_programs_on_one_folder_share_a_server(tmp_path: Path):
    server = find_server(CACHE / "mongodb")
    with running(server, tmp_path) as first:
        started = process_id(first)
        with running(server, tmp_path) as second:
            assert process_id(second) == started
        assert process_id(first) == started
    with running(server, tmp_path) as anew:
        assert process_id(anew) != started
