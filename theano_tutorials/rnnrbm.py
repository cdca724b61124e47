"""RNN-RBM: a recurrent network that gives a restricted Boltzmann machine its biases at each time step.

    bv(t) = bv + u(t-1) Wuv
    bh(t) = bh + u(t-1) Wuh
    v(t)  ~ RBM(W, bv(t), bh(t))
    u(t)  = tanh(bu + v(t) Wvu + u(t-1) Wuu)

The sequences v are piano rolls. The recurrent network carries what was played before;
the Boltzmann machine has the distribution of the notes that sound together. It is
trained by contrastive divergence, of which the gradient goes through the recurrence.

References
----------
Deep Learning Tutorials, "Modeling and generating sequences of polyphonic music with the
RNN-RBM".
N. Boulanger-Lewandowski, Y. Bengio and P. Vincent, "Modeling temporal dependencies in
high-dimensional sequences", ICML 2012.
"""

import numpy as np
import theano
import theano.tensor as T
from theano.sandbox.rng_mrg import MRG_RandomStreams

from theano_tutorials.checks import require_counts, require_positive
from theano_tutorials.datasets.music import read_piano_rolls, write_midi
from theano_tutorials.mlp import shared_parameters
from theano_tutorials.reprs import described
from theano_tutorials.runs import MAIN_PHASE, console, open_run
from theano_tutorials.training import in_order, pretrain, sgd_updates

_TRAINING_STEPS = 15  # of the Gibbs chain, as in the tutorial
_GENERATION_STEPS = 25
_N_GENERATED = 200  # time steps


def build_rbm(v, W, bv, bh, k, rng):
    """A Gibbs chain of k steps from v, and the cost of contrastive divergence.

    Parameters
    ----------
    v : symbolic vector or matrix, floatX, (n_visible,) or (n_steps, n_visible)
        Each row begins a chain.
    W : symbolic matrix, floatX, (n_visible, n_hidden)
    bv, bh : symbolic vectors or matrices, floatX
        Biases of the visible and the hidden units, for all rows or for each.
    k : int
        Number of Gibbs steps.
    rng : theano.sandbox.rng_mrg.MRG_RandomStreams

    Returns
    -------
    v_sample : symbolic variable, as v
        The end of the chain.
    cost : scalar symbolic variable
        Its gradient, with v_sample constant, is that of CD-k; mean over the rows.
    monitor : scalar symbolic variable
        Log-likelihood of v by the means after one step more from v_sample, in nats;
        mean over the rows.
    updates : dict of shared variable to symbolic expression
        Those of the random streams.
    """

    def gibbs_step(v):
        mean_h = T.nnet.sigmoid(T.dot(v, W) + bh)
        h = rng.binomial(size=mean_h.shape, n=1, p=mean_h, dtype=theano.config.floatX)
        mean_v = T.nnet.sigmoid(T.dot(h, W.T) + bv)
        return mean_v, rng.binomial(size=mean_v.shape, n=1, p=mean_v, dtype=theano.config.floatX)

    def free_energy(v):
        return -(v * bv).sum() - T.log(1 + T.exp(T.dot(v, W) + bh)).sum()

    chain, updates = theano.scan(lambda v: gibbs_step(v)[1], outputs_info=[v], n_steps=k, name="gibbs")
    v_sample = chain[-1]
    mean_v, _ = gibbs_step(v_sample)
    monitor = T.xlogx.xlogy0(v, mean_v) + T.xlogx.xlogy0(1 - v, 1 - mean_v)
    cost = (free_energy(v) - free_energy(v_sample)) / v.shape[0]
    return v_sample, cost, monitor.sum() / v.shape[0], updates


class RnnRbm:
    """RNN-RBM of piano rolls, compiled.

    Parameters
    ----------
    n_hidden : int
        Number of hidden units of the Boltzmann machine.
    n_hidden_recurrent : int
        Number of units of the recurrent network.
    lr : float
        Learning rate.
    r : (int, int)
        Range of the notes; see
        :func:`theano_tutorials.datasets.music.read_piano_rolls`.
    dt : float
        Time from one step to the next, in seconds.
    seed : int
        Seed of the weights, of all samples, and of the order of the pieces.
    parameters : dict of str to shared variable, optional
        Parameters to use, by name; by default new ones.

    Attributes
    ----------
    W, bv, bh, Wuh, Wuv, Wvu, Wuu, bu : shared variables, floatX
    params : list
        All of them, in this order.
    v : symbolic matrix, floatX, (n_steps, r[1] - r[0])
        A sequence.
    cost, monitor : scalar symbolic variables
        See :func:`theano_tutorials.rnnrbm.build_rbm`.
    v_sample : symbolic matrix
        The ends of the chains, which the gradient takes as constant.
    train_function : function
        ``train_function(sequence)`` makes an update, and returns ``monitor`` before it.
    generate_function : function
        ``generate_function()`` returns 200 time steps of a new piece: floatX, (200,
        r[1] - r[0]).
    architecture : dict
        For :meth:`from_parameters`.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    def __init__(
        self, n_hidden=150, n_hidden_recurrent=100, lr=0.001, r=(21, 109), dt=0.3, seed=0xBEEF, parameters=None
    ):
        require_counts(n_hidden=n_hidden, n_hidden_recurrent=n_hidden_recurrent)
        require_positive(lr=lr, dt=dt)
        self.r, self.dt = tuple(map(int, r)), float(dt)
        self.architecture = {
            "n_hidden": int(n_hidden),
            "n_hidden_recurrent": int(n_hidden_recurrent),
            "r": list(self.r),
            "dt": self.dt,
        }
        self._rng = np.random.RandomState(seed)
        streams = MRG_RandomStreams(seed=self._rng.randint(1 << 30))
        self._define_parameters(self.r[1] - self.r[0], n_hidden, n_hidden_recurrent, parameters)
        self._build(streams, lr)

    def __repr__(self):
        return described(self, "architecture")

    @classmethod
    def from_parameters(cls, parameters, n_hidden, n_hidden_recurrent, r, dt):
        """Build a saved model from shared variables by name and from its ``architecture``."""
        return cls(n_hidden, n_hidden_recurrent, r=r, dt=dt, parameters=parameters)

    def _define_parameters(self, n_visible, n_hidden, n_hidden_recurrent, given):
        shapes = {
            "W": (n_visible, n_hidden),
            "bv": (n_visible,),
            "bh": (n_hidden,),
            "Wuh": (n_hidden_recurrent, n_hidden),
            "Wuv": (n_hidden_recurrent, n_visible),
            "Wvu": (n_visible, n_hidden_recurrent),
            "Wuu": (n_hidden_recurrent, n_hidden_recurrent),
            "bu": (n_hidden_recurrent,),
        }

        def draw(name, shape):
            is_bias = len(shape) == 1
            return np.zeros(shape) if is_bias else self._rng.normal(scale=0.01 if name == "W" else 0.0001, size=shape)

        found = shared_parameters(shapes, given, draw)
        vars(self).update(found)
        self.params = list(found.values())

    def _build(self, streams, lr):
        n_visible = self.r[1] - self.r[0]
        u0 = T.zeros((self.architecture["n_hidden_recurrent"],))

        def biases(u_tm1):
            return self.bv + T.dot(u_tm1, self.Wuv), self.bh + T.dot(u_tm1, self.Wuh)

        def next_u(v_t, u_tm1):
            return T.tanh(self.bu + T.dot(v_t, self.Wvu) + T.dot(u_tm1, self.Wuu))

        def given_step(v_t, u_tm1, *_):
            return [next_u(v_t, u_tm1), *biases(u_tm1)]

        def generated_step(u_tm1, *_):
            v_t, _, _, updates = build_rbm(T.zeros((n_visible,)), self.W, *biases(u_tm1), _GENERATION_STEPS, streams)
            return [v_t, next_u(v_t, u_tm1)], updates

        self.v = T.matrix("v")
        (_, bv_t, bh_t), updates_train = theano.scan(
            given_step,
            sequences=self.v,
            outputs_info=[u0, None, None],
            non_sequences=self.params,
            name="recurrence",
        )
        self.v_sample, self.cost, self.monitor, updates_rbm = build_rbm(
            self.v, self.W, bv_t[:], bh_t[:], _TRAINING_STEPS, streams
        )
        updates_train.update(updates_rbm)
        updates_train.update(sgd_updates(self.cost, self.params, lr, consider_constant=[self.v_sample]))
        # Part of the state of a training: from it comes the place in the order of the sequences.
        self.n_updates = theano.shared(np.asarray(0), name="n_updates")
        updates_train[self.n_updates] = self.n_updates + 1

        (v_t, _), updates_generate = theano.scan(
            generated_step,
            outputs_info=[None, u0],
            non_sequences=self.params,
            n_steps=_N_GENERATED,
            name="generation",
        )
        with console.said_if_slow("Compiling"):
            self.train_function = theano.function([self.v], self.monitor, updates=updates_train)
            self.generate_function = theano.function([], v_t, updates=updates_generate)

    def train(self, files, batch_size=100, num_epochs=200, run=None):
        """Train on piano rolls, in an order that is drawn anew for each epoch.

        Parameters
        ----------
        files : list of paths or of numpy.ndarray
            MIDI files, or what :func:`theano_tutorials.datasets.music.read_piano_rolls`
            returns.
        batch_size : int
            Longest part of a piece for an update, in time steps. A piece is cut into
            parts.
        num_epochs : int
        run : theano_tutorials.runs.directory.Run, optional

        Returns
        -------
        theano_tutorials.TrainingResult

        Raises
        ------
        ValueError
            If a number is out of its range, or a file is not valid.
        """
        require_counts(batch_size=batch_size)
        rolls = [
            roll
            for file in files
            for roll in read_piano_rolls([file] if isinstance(file, np.ndarray) else file, self.r, self.dt)
        ]
        n_batches = sum(len(range(0, len(roll), batch_size)) for roll in rolls)

        def epochs():
            order = list(rolls)
            while True:
                self._rng.shuffle(order)
                yield [(roll[i : i + batch_size],) for roll in order for i in range(0, len(roll), batch_size)]

        step = in_order(self.train_function, self.n_updates, n_batches, epochs())
        return pretrain(step, self, n_batches, num_epochs, run, MAIN_PHASE, "log-likelihood")

    def generate(self, filename, show=False):
        """Generate a piece, and write it as a MIDI file.

        Parameters
        ----------
        filename : path
        show : bool
            Also draw the piano roll.

        Returns
        -------
        numpy.ndarray, floatX, (200, r[1] - r[0]), or matplotlib.figure.Figure
            The piano roll, or a figure of it, which a cell of a notebook shows.

        Raises
        ------
        ImportError
            If mido is not installed.
        OSError
            If the file cannot be written.
        """
        roll = self.generate_function()
        write_midi(filename, roll, self.r, self.dt)
        if not show:
            return roll
        from theano_tutorials.runs import plots  # here, since matplotlib would delay every start

        return plots.piano_roll(roll, self.r, self.dt)


def train_rnnrbm(
    lr=0.001,
    n_epochs=200,
    dataset="chorales",
    batch_size=100,
    n_hidden=150,
    n_hidden_recurrent=100,
    r=(21, 109),
    dt=0.3,
    seed=0xBEEF,
    output_dir=None,
    resume=False,
    overwrite=False,
    tensorboard=False,
):
    """Train an RNN-RBM on chorales by Bach or on MIDI files, and generate two pieces.

    Parameters
    ----------
    lr : float
        Step size of gradient descent.
    n_epochs : int
        Number of passes over all pieces.
    dataset : str, path, or list of arrays
        chorales, which music21 carries, or the path of a folder of MIDI files or of
        one. In Python, piano rolls too: read_piano_rolls says which.
    batch_size : int
        Longest part of a piece for an update, in time steps.
    n_hidden : int
        Number of hidden units of the Boltzmann machine.
    n_hidden_recurrent : int
        Number of units of the recurrent network.
    r : tuple of int
        Range of the notes: first MIDI note number, and the one after the last.
    dt : float
        Time from one step to the next, in seconds.
    seed : int
        Seed of the weights, of all samples, and of the order of the pieces.
    output_dir, resume, overwrite, tensorboard
        See :func:`theano_tutorials.open_run`.

    Returns
    -------
    theano_tutorials.TrainingResult

    Raises
    ------
    ImportError
        If music21 or mido is not installed, where it is needed.
    ValueError
        If an argument is out of its range or the data is not valid.
    theano_tutorials.TrainingDiverged
        If the cost becomes NaN or infinite.
    """
    arguments = dict(locals())
    rolls = read_piano_rolls(dataset, r, dt)
    run = open_run(output_dir, "rnnrbm", arguments, rolls, resume, overwrite, tensorboard)

    model = RnnRbm(n_hidden, n_hidden_recurrent, lr, r, dt, seed)
    result = model.train(rolls, batch_size, n_epochs, run)
    if run.folder is not None:
        figures = {
            f"sample{number}.png": lambda number=number: model.generate(run.folder / f"sample{number}.mid", show=True)
            for number in (1, 2)
        }
        run.draw(figures)
    return result
