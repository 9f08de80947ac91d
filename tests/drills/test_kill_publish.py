"""A smoke of `make drill`: a publication in a process of its own, killed once while its files arrive."""

from drills.kill_publish import drill


def test_a_publication_killed_half_way_ends_right(tmp_path):
    found = drill(kills=1, files=60, remote=str(tmp_path / "kept"), kept=tmp_path / "kept", scratch=tmp_path / "scratch")
    assert found["there_before_the_last_attempt"] >= found["kills"]
