"""Laws of the visitors: they click as their taste and the cascade say, and equal seeds give equal visits."""

import pytest

from online.visitors import CLICK, FIND, HAD_MAX, LIKED, OTHER, STAY, Act, Visitors, find_tastes, perfect_share

DESCRIPTIONS = {
    f"i{n:03d}": f"{'comedy' if n % 5 == 0 else 'drama'} {'war' if n % 7 == 0 else ''} of" for n in range(300)
}
TASTES = find_tastes(DESCRIPTIONS)


def test_tastes_are_words_that_some_items_share() -> None:
    """Not those of most items, nor of a few, nor short ones; each with exactly the items that hold it."""
    assert list(TASTES) == ["comedy", "war"]
    assert TASTES["war"] == [item for item, text in DESCRIPTIONS.items() if "war" in text.split()]
    assert find_tastes({"a": "drama", "b": "drama"}) == {}


def test_equal_seeds_give_equal_visits() -> None:
    """And another seed other ones."""

    def visits(seed: int) -> list[tuple[str, Act | None]]:
        visitors = Visitors(TASTES, 10, seed)
        users = [visitors.next_user() for _ in range(200)]
        return [(user, visitors.visit(user, ["i001", "i005", "i007"])) for user in users]

    assert visits(1) == visits(1) != visits(2)


def test_names_tell_the_taste() -> None:
    """So that a person at the page sees whether a list fits."""
    assert Visitors(TASTES, 3, 1).taste_of == {"comedy-001": "comedy", "war-001": "war", "comedy-002": "comedy"}


@pytest.mark.parametrize("liked", [True, False])
def test_clicks_follow_the_cascade(liked: bool) -> None:
    """The share of clicks and their places are those of the model, for liked and for other items."""
    p = LIKED if liked else OTHER
    shown = [item for item, text in DESCRIPTIONS.items() if ("comedy" in text) == liked and "war" not in text][:10]
    places = []
    n = 20_000
    for seed in range(n // 100):
        visitors = Visitors(TASTES, 100, seed)
        users = [user for user, taste in visitors.taste_of.items() if taste == "comedy"] * 2
        acts = [visitors.visit(user, shown) for user in users[:50]]
        places += [shown.index(act.item) for act in acts if act and act.action == CLICK]
    n //= 2
    expected = [((1 - p) * STAY) ** place * p for place in range(10)]
    assert len(places) / n == pytest.approx(sum(expected), rel=0.1)
    assert places.count(0) / n == pytest.approx(expected[0], rel=0.15)
    if liked:
        assert sum(expected) == pytest.approx(perfect_share(), rel=0.1)


def test_who_sees_nothing_finds_what_is_liked() -> None:
    """Without a list, searches alone, only of the taste, none twice within what is remembered."""
    visitors = Visitors(TASTES, 1, 1)
    acts = [act for _ in range(400) if (act := visitors.visit("comedy-001", []))]
    assert {act.action for act in acts} == {FIND}
    items = [act.item for act in acts]
    assert set(items) <= set(TASTES["comedy"])
    assert len(set(items)) == len(items) <= HAD_MAX
