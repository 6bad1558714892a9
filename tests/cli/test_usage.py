"""The command line's manners: help, mistyped words, Ctrl-C, closed pipes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nrf_deploy.cli.main import main
from nrf_deploy.cli.parser import parser
from tests.builders.cli_calls import USAGE, answer, call, python, refusal


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from nrf_deploy.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'h5py', 'nir', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = python(script)
    assert done.returncode == 0, done.stderr
    assert "exit codes" in done.stdout


def test_check_answers_without_torch_or_numba(model: Path) -> None:
    script = (
        "import sys\n"
        "from nrf_deploy.cli.main import main\n"
        f"code = main(['check', {str(model)!r}, '--target', 'loihi2'])\n"
        "heavy = {'torch', 'numba'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = python(script)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_program_itself_answers_for_help() -> None:
    done = call("verify", "--help")
    assert done.returncode == 0
    assert "nrf-deploy verify" in done.stdout.partition("examples:")[2]


@pytest.mark.parametrize("verb", sorted(parser().verbs))
def test_the_help_of_each_verb_has_examples_that_parse(verb: str) -> None:
    told = parser().verbs[verb].format_help()
    assert max(map(len, told.splitlines())) <= 100
    examples = told.partition("examples:")[2].strip().splitlines()
    assert examples
    for example in examples:
        program, *words = shlex.split(example)
        assert program == "nrf-deploy"
        assert parser().parse_args(words).verb == verb


def test_wrong_words_are_a_usage_error() -> None:
    assert call("compile").returncode == USAGE
    assert call("verify", "b", "--input", "r", "--limit", "many").returncode == USAGE
    assert call().returncode == USAGE


@pytest.mark.parametrize(
    ("words", "says", "usage"),
    [
        (["compile", "m", "--targt", "loihi2", "-o", "x"], "--target", "nrf-deploy compile"),
        (["verify", "b", "--input", "r", "--agianst=lava"], "--against", "nrf-deploy verify"),
        (["chekc", "m"], "check", "nrf-deploy"),
        (["sdk", "instal"], "install", "nrf-deploy sdk"),
    ],
)
def test_mistyped_words_are_answered_with_the_nearest(
    words: list[str], says: str, usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == USAGE
    text = refusal(capsys)
    assert f"did you mean {says}" in text
    assert text.startswith(f"usage: {usage}")
    assert main([*words, "--json"]) == USAGE
    document = answer(capsys)
    assert document["findings"][0]["code"] == "USAGE"
    assert document["exit_code"] == USAGE


def test_ctrl_c_while_the_program_starts_is_no_traceback() -> None:
    """The command line's own import is the first thing that takes time."""
    script = (
        "import sys, types\n"
        "class Slow(types.ModuleType):\n"
        "    def __getattr__(self, name): raise KeyboardInterrupt\n"
        "sys.modules['nrf_deploy.cli.main'] = Slow('nrf_deploy.cli.main')\n"
        "from nrf_deploy.__main__ import main\n"
        "sys.exit(main())"
    )
    done = python(script)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_error(model: Path) -> None:
    command = f"{sys.executable} -m nrf_deploy inspect {model} | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
