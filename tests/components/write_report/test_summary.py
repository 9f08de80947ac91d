from components.write_report.summary import agreement, effort, summary, what_is_simulated


def lines(a, **changes):
    parts = {k: a[k] for k in ("decision", "truth", "version", "registered")} | changes
    return summary(**parts, report_path="runs/x/report.html").splitlines()


def test_it_says_what_was_decided_how_sure_and_where_to_read_on(artifacts):
    told = lines(artifacts)
    assert told[0] == "Decision: " + artifacts["decision"]["sentence"]
    assert told[1] == "Confidence 95 %, margin 0.10; 192 simulated ratings used."
    assert "    prompt-a   0.29  [ 0.17,  0.41]  36 ratings, truth 0.31 (incumbent)" in told
    assert "  → ppo-d07e   0.68  [ 0.59,  0.77]  60 ratings, truth 0.66" in told
    assert told[-1] == "Report: runs/x/report.html"
    assert told[-3] == "Candidates for review: reward-model-candidate v3, prompt-policy-candidate v3."
    assert told[-2] == "Not registered: diary-prompt-candidate, the decision keeps the incumbent."


def test_without_a_truth_it_says_so(artifacts):
    told = lines(artifacts, truth={}, registered={})
    assert "The arms' true means are not known: only a simulated world can reveal them." in told
    assert "Nothing was registered for review." in told
    assert not [line for line in told if "truth 0" in line]


def test_agreement_names_the_truly_best_and_the_gap(artifacts):
    decision = artifacts["decision"]
    close = {"best": "bon-81c2", "gap": 0.034, "agrees": True}
    assert agreement(decision, close) == (
        "The micro-world's truth agrees: bon-81c2 is truly the best, 0.034 above ppo-d07e (margin 0.10)."
    )
    assert agreement(decision, close | {"gap": 0.3, "agrees": False}).startswith(
        "The micro-world's truth disagrees: bon"
    )


def test_an_open_decision_says_how_many_ratings_it_may_still_need(artifacts):
    decision = artifacts["decision"] | {"ratings_needed": 1500, "simulated": False}
    assert effort(decision) == "192 human ratings used, about 1,500 more needed"


def test_only_what_is_simulated_is_called_so():
    real, simulated = {"simulated": False}, {"simulated": True}
    assert what_is_simulated(real, real) == ""
    assert "No person judged" in what_is_simulated(simulated, simulated)
    assert "learned from" in what_is_simulated(real, simulated)
    assert "decided between" in what_is_simulated(simulated, real)


def test_data_cannot_steer_the_terminal(artifacts):
    told = lines(artifacts, decision=artifacts["decision"] | {"sentence": "Adopt\x1b[2J it"})
    assert told[0] == "Decision: Adopt[2J it"


def test_an_arm_without_an_interval_shows_a_dash(artifacts):
    decision = artifacts["decision"]
    unknown = decision["arms"][0] | {"estimate": None, "low": float("nan"), "high": None, "n_ratings": 0}
    told = lines(artifacts, decision=decision | {"arms": [unknown]}, truth={})
    assert "    prompt-a      –  [    –,     –]  0 ratings (incumbent)" in told


def test_what_states_no_confidence_is_told_so(artifacts):
    told = lines(artifacts, decision=artifacts["decision"] | {"confidence": None})
    assert told[1] == "No confidence is stated; 192 simulated ratings used."
