"""The tree of a beam search: what it holds, and how it is written and drawn."""

import sys

import numpy as np

from tests.decoding.distributions import TableModel, beam_of, shown
from tinygrad_rnn import decoding


def test_the_tree():
    (best, *_), (tree, *_) = beam_of(
        TableModel(4), {"bos": [0, 1], "eos": 2, "max_length": 3}, beam=2, return_tree=True
    )
    for depth, node in tree.walk():
        fates = [child.fate for child in node.children]
        assert (not fates) or node.fate == "kept"
        assert len(fates) <= 4
        for child in node.children:
            np.testing.assert_allclose(child.total, node.total + child.log_prob)
        assert depth <= 3
    for depth in (1, 2, 3):
        assert sum(node.fate == "kept" for at, node in tree.walk() if at == depth) <= 2
    way = [node for _, node in tree.walk() if node.best]
    assert [node.token for node in way] == [0, *best[0].tokens]
    np.testing.assert_allclose(way[-1].total, best[0].log_prob)
    words = ["<s>", "a", "</s>", "b&"]
    text, page = tree.text(words), tree.page(lambda token: words[token])
    assert text.startswith("<s>\n├─ ")
    assert len(text.splitlines()) == len(list(tree.walk())) == page.count("<circle")
    assert "b&amp;" in page
    assert tree.page(dropped=False).count("<circle") == len(tree.text(None, False).splitlines())
    assert "×" in text
    assert "×" not in tree.text(dropped=False)


def test_the_tree_of_groups_is_one_in_which_what_several_find_stands_once():
    model, search = TableModel(4, 3), {"bos": [0, 1], "eos": 2, "max_length": 3}
    how = {"beam": 4, "n_best": 4, "groups": 2, "diversity": 0.3}
    best, trees = beam_of(model, search, return_tree=True, **how)
    assert shown(best) == shown(beam_of(model, search, **how))
    for hypotheses, tree in zip(best, trees, strict=True):
        fates = {}
        path = []
        for depth, node in tree.walk():
            path[depth:] = [node.token]
            assert tuple(path[1:]) not in fates
            fates[tuple(path[1:])] = node.fate
            totals = [child.total for child in node.children]
            assert totals == sorted(totals, reverse=True)
        for one in hypotheses:
            assert fates[tuple(one.tokens)] == ("finished" if one.finished else "kept")


def test_trees_that_are_deeper_than_the_stack_of_calls():
    length = sys.getrecursionlimit() + 50
    step = lambda tokens, state: (np.log([[0.9, 0.1]]).repeat(len(tokens), 0), state)
    _, (tree,) = decoding.beam_search(
        step, None, bos=0, eos=None, beam=1, max_length=length, return_tree=True
    )
    assert max(depth for depth, _ in tree.walk()) == length
    text = tree.text(dropped=False).splitlines()
    assert text[2].startswith("   └─ 0  -0.11  Σ -0.21")
    assert len(text) == tree.page(dropped=False).count("<circle") == length + 1
    assert "children" not in repr(tree)
