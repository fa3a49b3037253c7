from livecnn.selection import MutedUnits


def test_the_version_grows_with_every_change_and_not_without() -> None:
    muted = MutedUnits()
    assert muted.read() == (0, frozenset())
    for units, version in (({("conv", 1)}, 1), ([("conv", 1), ("conv", 1)], 1), ((), 2), ([], 2)):
        muted.set(units)
        assert muted.read() == (muted.version, muted.units) == (version, frozenset(units))
