import subprocess
import sys
from pathlib import Path

import pytest

import livecnn
from livecnn import registry
from livecnn.errors import ConfigError, ModelError

ROOMS = {
    "panels": {"camera", "feature_maps", "neurons", "patch", "scores", "status"},
    "sources": {"demo"},
    "networks.pipelines": {"ink"},
    "explain.methods": {"grad_cam"},
}


@pytest.mark.parametrize("room", ROOMS)
def test_kinds_are_the_files_of_a_room(room: str) -> None:
    folder = Path(livecnn.__file__).parent / room.replace(".", "/")
    files = sorted(path.stem for path in folder.glob("*.py") if not path.name.startswith("_"))
    assert list(registry.kinds(room)) == files
    assert set(files) >= ROOMS[room]


@pytest.mark.parametrize("room", ["panels", "sources", "networks.pipelines", "networks.architectures", "explain.methods"])
def test_every_kind_can_be_found(room: str) -> None:
    for kind in registry.kinds(room):
        name = "".join(map(str.capitalize, kind.split("_"))) + registry.SUFFIXES.get(room, "")
        assert registry.find(room, kind, ConfigError).__name__ == name


@pytest.mark.parametrize("kind", ["feature_map", "FeatureMaps", "__init__", "", "../panels/camera", "_light"])
def test_an_unknown_kind_is_told_with_what_is_allowed(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown kind '.*' in panels; .*allowed: architecture, camera, .*feature_maps"):
        registry.find("panels", kind, ConfigError)
    with pytest.raises(ModelError, match=r"did you mean 'ink'\?"):
        registry.find("networks.pipelines", "inks", ModelError)


def test_knowing_the_kinds_imports_none_of_them() -> None:
    code = "import sys; from livecnn.registry import kinds; kinds('networks.architectures'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "livecnn.networks.architectures" in loaded
    assert "livecnn.networks.architectures.lenet" not in loaded
    assert "torch" not in loaded
