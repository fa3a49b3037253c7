from livecnn.app.controls.controller import Controls
from livecnn.app.controls.explorer_controller import SelectionController
from livecnn.app.keys import ACTIONS, KEYS


def test_no_key_means_two_things() -> None:
    names = [name for key in KEYS for name in key.names]
    assert len(names) == len(set(names)) == len(ACTIONS)


def test_every_action_exists() -> None:
    for key in KEYS:
        assert callable(getattr(Controls, key.action, None) or getattr(SelectionController, key.action)), key
        assert key.shown
        assert key.meaning


def test_the_keys_that_are_promised() -> None:
    promised = {" ": "freeze", "f": "fullscreen", "s": "snapshot", "v": "next_view", "k": "next_colormap", "m": "mirror"}
    promised |= {"h": "help", "q": "quit", "escape": "quit", "+": "grow_box", "-": "shrink_box"}
    promised |= dict.fromkeys("0123456789", "sort")
    assert promised.items() <= ACTIONS.items()
