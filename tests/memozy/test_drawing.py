import numpy as np

from memozy.reports import drawing, svg


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_levels_draw_every_count():
    figure = drawing.levels(["-1", "0"], {"train": [3, 7], "train, oversampled": [6, 7], "test": [1, 2000]})
    assert [bar.get_height() for bar in figure.axes[0].patches] == [3, 7, 6, 7, 1, 2000]
    assert texts(figure) == ["3", "7", "6", "7", "1", "2,000"]


def test_intervals_are_drawn_where_they_are():
    series = {"one": [[0.2, 0.1, 0.3], None], "two": [None, [0.5, None, None]]}
    figure = drawing.intervals(["a", "b"], series, "MSE", {"x": 0.4})
    axes = figure.axes[0]
    bars, points, *_ = axes.collections
    np.testing.assert_allclose(bars.get_segments()[0], [[0.1, 0], [0.3, 0]])
    np.testing.assert_allclose(points.get_offsets(), [[0.2, 0]])
    np.testing.assert_allclose(axes.collections[3].get_offsets(), [[0.5, 1]])
    assert axes.lines[0].get_xdata() == [0.4, 0.4]


def test_a_band_is_shaded_from_where_to_where_and_named():
    figure = drawing.intervals(["a"], {"one": [[0.2, 0.1, 0.3]]}, "MSE", band=("near", 0.15, 0.25))
    (band,) = figure.axes[0].patches
    assert (band.get_x(), band.get_width()) == (0.15, 0.1) and 0 < band.get_alpha() < 0.5
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["near", "one"]


def test_allocation_writes_each_count_and_the_total():
    assert texts(drawing.allocation([[4, 0], [4, 9]], ["A", "B"], [1, 2])) == ["4", "0", "4", "9", "4", "13"]


def test_looks_name_the_leader_and_bear_a_look_without_z():
    rows = [
        {"ratings": 40, "z": None, "boundary": 4.0, "leader": None},
        {"ratings": 80, "z": 3.1, "boundary": 2.8, "leader": "C"},
    ]
    figure = drawing.looks(rows)
    assert texts(figure) == ["C"]
    assert "<svg" in svg(figure, "looks", "looks")
