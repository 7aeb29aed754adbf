"""docs/architecture.md says what the code is now, and the files that it names answer."""

import make_architecture
import pytest


def test_page_is_what_the_code_says_now() -> None:
    stale = make_architecture.PAGE.read_text(encoding="utf-8") != make_architecture.page()
    assert not stale, (
        "docs/architecture.md is stale: run `.venv/bin/python docs/make_architecture.py`"
    )


@pytest.mark.parametrize(("question", "path"), make_architecture.QUESTIONS.items())
def test_the_file_of_a_question_answers_it(question: str, path: str) -> None:
    text = make_architecture.docstring(path).lower()
    words = {"retry": "retries"}.get(question, question.lower()).split()
    assert [word for word in words if word not in text] == []
