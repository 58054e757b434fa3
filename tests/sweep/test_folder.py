"""Where a folder is: paths, the home folder, and URIs as people write them."""

import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import fs

from analysis.data.locations import open_folder
from sweep.errors import InputError
from sweep.storage.folder import Folder


def test_home_is_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Folder("~/x").write(b"1", "a")
    assert (tmp_path / "x" / "a").read_bytes() == b"1"
    assert open_folder("~/x").get_file_info("a").type == fs.FileType.File


@pytest.mark.parametrize("name", ["a b", "100%", "é", "a[b]", "a#b", "a%20b"])
def test_uris_may_hold_what_paths_hold(tmp_path: Path, name: str) -> None:
    meant = "a b" if name == "a%20b" else name
    for uri in (f"file://{tmp_path}/{name}", f"file:{tmp_path}/{name}"):
        Folder(uri).write(b"1", "x")
        assert (tmp_path / meant / "x").read_bytes() == b"1"
        assert Folder(Folder(uri).uri).path == str(tmp_path / meant)  # workers get the URI
    seen = open_folder(f"file://{tmp_path}/{name}").get_file_info("x")
    assert seen.type == fs.FileType.File


def test_buckets_may_have_spaces_in_their_keys() -> None:
    for uri in ("s3://bucket/a b?region=us-east-2", "s3://bucket/a%20b?region=us-east-2"):
        assert Folder(uri).path == "bucket/a b"


@pytest.mark.parametrize("uri", ["foo://x", "http://x/y", "file://host/x"])
def test_what_no_filesystem_opens_is_one_sentence(uri: str) -> None:
    with pytest.raises(InputError, match=f"folder '{uri}' cannot be opened: .*[^.]\\.$"):
        Folder(uri)


def test_what_stands_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert Folder(str(tmp_path / "new" / "newer")).obstacle() == ""
    assert "file' is a file" in Folder(str(tmp_path / "file" / "x")).obstacle()
    assert "too long" in Folder(str(tmp_path / ("x" * 300))).obstacle()
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "may not be written to" in Folder(str(tmp_path / "new")).obstacle()


def test_reading_a_table_starts_no_thread(tmp_path: Path) -> None:
    """Arrow's threads abort now and then a process that ends just after it has read."""
    code = """
import sys
import psutil
import pyarrow as pa
from sweep.storage.folder import Folder

folder = Folder(sys.argv[1])
folder.write_table(pa.table({"task": ["a", "b"]}), "table.parquet")
before = psutil.Process().num_threads()
assert folder.read_table("table.parquet").num_rows == 2
print(psutil.Process().num_threads() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "0\n", done.stderr
