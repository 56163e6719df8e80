"""Errors in the words of the command line."""

from __future__ import annotations

import pytest

from go_state.cli.telling.errors import spelled

OPTIONS = {"key": "--key", "key_of": "--key-of", "rebuild": "--rebuild", "of": "--of", "on_error": "--set-aside"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("say which with key=", "say which with --key"),
        ("key= is a text, and key_of= a function", "--key is a text, and --key-of a function"),
        ("rebuild=True makes them anew", "--rebuild makes them anew"),
        ("left out, on_error=gs.SetAside().", "left out, --set-aside."),
        ("key_of='c' is a field", "--key-of 'c' is a field"),
        ("`gs.verify` says where, `gs.to_test` more", "`go-state verify` says where, `go-state to-test` more"),
        ("say store.journal('a', of=Msg)", "say store.journal('a', of=Msg)"),
        ("as in of=Sale, with another name= and tag=", "as in of=Sale, with another name= and tag="),
        ("'key=... dbname=...'", "'key=... dbname=...'"),
        ("monkey= and `gs.SetAside`", "monkey= and `gs.SetAside`"),
        ("the field 'key=' is missing", "the field 'key=' is missing"),
        ('{"of": "with key= in it"}', '{"of": "with key= in it"}'),
        ("Say(text='it is (key=)') of the users' own key=", "Say(text='it is (key=)') of the users' own --key"),
        ("no file /data/key=/a, s3://b/key= or a?key=&of=", "no file /data/key=/a, s3://b/key= or a?key=&of="),
    ],
)
def test_options_stand_in_the_place_of_keywords(text: str, said: str) -> None:
    """What is a call, a value or somebody else's keyword stays as it is."""
    assert spelled(text, OPTIONS) == said
