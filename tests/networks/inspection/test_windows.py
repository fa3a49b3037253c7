from livecnn.networks.inspection.windows import WindowSpec, pair_text, size_text, window_facts, window_texts


def test_sizes_are_height_by_width() -> None:
    assert (size_text((3, 5)), size_text((20, 24, 12), "x"), pair_text((2, 2)), pair_text((1, 2))) == (
        "3×5",
        "20x24x12",
        "2",
        "1×2",
    )


def test_a_window_in_words() -> None:
    assert window_facts(WindowSpec((3, 5), (1, 2))) == ["kernel 3×5", "stride 1×2", "padding 0"]
    assert window_facts(WindowSpec((3, 3), (1, 1), (1, 0), (2, 2), 4))[2:] == ["padding 1×0", "dilation 2", "4 groups"]
    assert window_facts(None) == []


def test_the_fields_of_a_window_for_a_table() -> None:
    texts = window_texts(WindowSpec((3, 5), (1, 2), dilation=(1, 2)), "x")
    assert texts == {"kernel": "3x5", "stride": "1x2", "padding": "0", "dilation": "1x2", "groups": ""}
    assert set(window_texts(None).values()) == {""}
