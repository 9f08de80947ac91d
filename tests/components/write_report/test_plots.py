import numpy as np

from components.write_report import plots
from memozy.reports.drawing import BLUE


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_predictions_draw_few_points_of_many_but_average_all():
    rating = np.repeat([0.0, 1.0], 5000)
    predicted = np.concatenate([np.linspace(-0.5, 0.5, 5000), np.linspace(0.2, 0.6, 5000)])
    points, means = plots.predictions(rating, predicted, BLUE).axes[0].collections
    assert len(points.get_offsets()) == plots.MOST_POINTS
    np.testing.assert_allclose(means.get_offsets(), [[0, 0], [1, 0.4]], atol=1e-9)


def test_curves_leave_a_gap_where_an_update_has_no_number():
    figure = plots.curves([0, 1, 2], {"KL": [0.0, float("nan"), 2.0]}, {"its coefficient": [0.1, 0.1, 0.2]})
    upper, lower = figure.axes
    np.testing.assert_array_equal(upper.lines[0].get_ydata(), [0, np.nan, 2])
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), [0.1, 0.1, 0.2])


def arm(letter, estimate, low, high, **more):
    row = {
        "letter": letter,
        "origin": "ppo",
        "incumbent": False,
        "chosen": False,
        "score_mean": None,
        "true_mean": None,
    }
    return row | {"estimate": estimate, "low": low, "high": high} | more


def test_arms_draw_intervals_and_no_truth_that_is_not_known():
    rows = [arm("A", 0.2, 0.1, 0.3, incumbent=True), arm("B", None, None, None)]
    figure = plots.arms(rows)
    intervals = figure.axes[0].collections[0]
    np.testing.assert_array_equal(intervals.get_segments()[0], [[0.1, 0], [0.3, 0]])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "truth" not in names and "incumbent's estimate" in names
    assert "truth" in [
        t.get_text() for t in plots.arms([arm("A", 0.2, 0.1, 0.3, true_mean=0.25)]).legends[0].get_texts()
    ]
