"""Differential tests: Debian's apache2 and this server under the same configuration (see differential/pairs.py)."""

from pathlib import Path

import pytest

from differential import pairs
from harness import COMMAND, ENVIRON, free_port

FOLDER = Path(__file__).parent / "differential"
CASES = [case for path in sorted(FOLDER.glob("*.case")) for case in pairs.read(path)]

pytestmark = [
    pytest.mark.ours,
    pytest.mark.skipif(not Path(pairs.APACHE).exists(), reason="needs Debian's apache2 to compare with"),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_same_answers(case):
    """Every request of a case: status, significant header fields and body are alike, or the case says why not."""
    if "WSGI" in case.config and not (pairs.MODULES / "mod_wsgi.so").exists():
        pytest.skip("needs libapache2-mod-wsgi-py3")
    with pairs.public_folder() as root:
        pair = pairs.Pair(case, root, [*COMMAND, "run-config"], ENVIRON, free_port)
        try:
            wrong = []
            for ask in case.asks:
                apache, ours = pair.ask(ask)
                wrong += [f"{ask}\n    {text}" for text in pairs.compare(ask, apache, ours)]
            assert not wrong, "\n".join([*wrong, pair.report()])
        finally:
            pair.stop()


def test_enough_pairs():
    """A case file that is lost, or read as empty, does not go unnoticed."""
    assert sum(len(case.asks) for case in CASES) >= 900
