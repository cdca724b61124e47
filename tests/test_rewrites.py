"""Rewrites of the library beside every type of variable that Theano has."""

import numpy as np
import pytest
import theano
import theano.tensor as T
from every_type import GRAPHS
from theano.compile import optdb
from theano.gof.opt import TopoOptimizer

from theano_tutorials.kernels.op import TAG

REWRITES = {rewrite.name: rewrite.local_opt for rewrite in optdb.query(f"+{TAG}") if isinstance(rewrite, TopoOptimizer)}
GRAPH = pytest.mark.parametrize("types", GRAPHS)


def test_the_suite_raises_what_a_rewrite_raises():
    assert theano.config.on_opt_error == "raise"


def test_the_rewrites_are_those_of_the_library():
    assert len(REWRITES) == 10
    assert all(name.startswith("tutorials_") for name in REWRITES)


@GRAPH
def test_a_graph_computes_the_same_with_the_rewrites_and_without(types):
    x = T.matrix("x")
    data = np.linspace(-1, 1, 20).reshape(5, 4).astype(theano.config.floatX)
    modes = theano.compile.get_default_mode(), theano.compile.get_default_mode().excluding(TAG)
    # Built twice: two functions of one graph would share the state of random numbers.
    found, expected = (theano.function([x], GRAPHS[types](x), mode=mode)(data) for mode in modes)
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        if isinstance(other, np.ndarray):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@GRAPH
@pytest.mark.parametrize("name", REWRITES)
def test_a_rewrite_takes_any_node_or_leaves_it(name, types):
    x = T.matrix("x")
    # As the user builds it, and as Theano has rewritten it.
    graphs = [
        theano.function([x], GRAPHS[types](x), mode=theano.Mode("py", optimizer).excluding(TAG)).maker.fgraph
        for optimizer in (None, "fast_run")
    ]
    for graph in graphs:
        for node in graph.toposort():
            replaced = REWRITES[name].transform(node)
            if replaced:
                assert [new.type for new in replaced] == [old.type for old in node.outputs]
