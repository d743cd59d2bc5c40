from __future__ import annotations

import pytest

from scripts.marked_section import replace_section

PAGE = "before\n<!-- a:begin -->\nold\n<!-- a:end -->\nafter\n"


def test_only_the_named_section_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE + PAGE.replace("a:", "b:"))
    replace_section(page, "a", r"new \1")
    assert page.read_text() == PAGE.replace("old", r"new \1") + PAGE.replace("a:", "b:")


def test_a_section_is_replaced_again(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    for text in ("one", "two"):
        replace_section(page, "a", text)
    assert page.read_text() == PAGE.replace("old", "two")


@pytest.mark.parametrize(
    "text", ["no markers", "<!-- a:begin -->", "<!-- a:end --> <!-- a:begin -->", PAGE + PAGE]
)
def test_a_page_without_just_one_section_is_left_alone(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="page"):
        replace_section(page, "a", "new")
    assert page.read_text() == text
