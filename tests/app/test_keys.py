from livecnn.app.keys import ACTIONS, KEYS
from livecnn.selection import Action

OF_BUTTONS_ALONE = {Action.CHOOSE_METHOD, Action.TOGGLE_METHOD, Action.CHOOSE_SHOTS}


def test_no_key_means_two_things() -> None:
    names = [name for key in KEYS for name in key.names]
    assert len(names) == len(set(names)) == len(ACTIONS)
    assert all(key.shown and key.meaning for key in KEYS)


def test_every_action_has_a_key_or_is_of_buttons_alone() -> None:
    assert {key.action for key in KEYS} == set(Action) - OF_BUTTONS_ALONE


def test_the_keys_that_are_promised() -> None:
    promised = {" ": "freeze", "f": "fullscreen", "s": "snapshot", "v": "next_view", "k": "next_colormap", "m": "mirror"}
    promised |= {"h": "help", "q": "quit", "escape": "quit", "+": "grow_box", "-": "shrink_box"}
    promised |= dict.fromkeys("0123456789", "sort")
    assert {key: Action[action.upper()] for key, action in promised.items()}.items() <= ACTIONS.items()
