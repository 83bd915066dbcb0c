"""A tokenizer made on the spot, and records written for the tests."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

LONG = (
    "A grocer buys 14 crates of apples. Each crate holds 12 apples. She sells 97 of them before noon. In the afternoon "
    "three schools share what is left in equal parts. How many apples does each school get, and how many does she keep?"
)


def chat(number, question=LONG, answer="Each school gets 23 apples; she keeps 2.", **fields):
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": f"r{number}", "messages": messages} | fields


@pytest.fixture(scope="session")
def tiny():
    """examples/tiny.py."""
    pytest.importorskip("transformers", reason='needs transformers: pip install -e ".[test]"')
    spec = importlib.util.spec_from_file_location("tiny", EXAMPLES / "tiny.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tokenizer(tiny):
    return tiny.tokenizer([LONG, "Each school gets 23 apples; she keeps 2.", "What is $x^2$?"], vocabulary=600)


@pytest.fixture
def records():
    """Sixteen chats; by `LoMo(ratio=0.5)` some are rewritten."""
    return [chat(n, f"Problem {n}. " + LONG[: 120 + 10 * n], f"The answer is {n}.") for n in range(16)]


@pytest.fixture(scope="session", name="chat")
def chat_fixture():
    return chat
