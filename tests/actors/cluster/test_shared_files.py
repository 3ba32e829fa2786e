"""What makes two model folders the same."""

from __future__ import annotations

from pathlib import Path

from actors.cluster.shared_files import folder_digest


def test_a_model_folder_with_other_or_missing_weights_is_another_one(tmp_path: Path) -> None:
    assert folder_digest(str(tmp_path)) is None
    (tmp_path / "config.json").write_text("{}")
    shard = tmp_path / "model-00001-of-00002.safetensors"
    shard.write_bytes(bytes(8))
    whole = folder_digest(str(tmp_path))
    (tmp_path / "notes.txt").write_text("of this node alone")
    assert folder_digest(str(tmp_path)) == whole
    shard.write_bytes(bytes(4))
    assert folder_digest(str(tmp_path)) != whole, "its copy was cut off"
    shard.unlink()
    assert folder_digest(str(tmp_path)) not in (whole, None)
