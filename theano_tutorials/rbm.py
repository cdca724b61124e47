"""Restricted Boltzmann machine, trained by contrastive divergence.

    E(v, h) = -b v - c h - v W h
    F(v)    = -b v - sum_j log(1 + exp(c_j + (v W)_j))
    P(h_j = 1 | v) = sigmoid(c_j + (v W)_j)
    P(v_i = 1 | h) = sigmoid(b_i + (h W')_i)

The gradient of the log-likelihood is the difference between the gradients of the free
energy F at the data and at samples of the model. Contrastive divergence (CD-k) takes
for samples the end of a Gibbs chain of k steps from the data; persistent contrastive
divergence (PCD-k) goes on with the chain of the minibatch before.

References
----------
Deep Learning Tutorials, "Restricted Boltzmann Machines (RBM)".
G. E. Hinton, "Training products of experts by minimizing contrastive divergence",
Neural Computation 14, 2002.
T. Tieleman, "Training restricted Boltzmann machines using approximations to the
likelihood gradient", ICML 2008.
"""

import numpy as np
import theano
import theano.tensor as T
from theano.tensor.shared_randomstreams import RandomStreams

from theano_tutorials.checks import require_counts, require_ndim, require_parameter
from theano_tutorials.datasets import load_data
from theano_tutorials.mlp import glorot_uniform
from theano_tutorials.reprs import described
from theano_tutorials.runs import MAIN_PHASE, draw_filters, draw_images, open_run
from theano_tutorials.training import (
    minibatch_function,
    number_of_examples,
    number_of_minibatches,
    pretrain,
    sgd_updates,
)


class RBM:
    """Restricted Boltzmann machine with binary units.

    Parameters
    ----------
    input : symbolic matrix, floatX, (n_examples, n_visible), optional
        Values in [0, 1]; by default a new variable.
    n_visible, n_hidden : int
        Number of visible and of hidden units.
    W : shared or other symbolic variable, floatX, (n_visible, n_hidden), optional
        Weights to use; by default new ones, after Glorot and Bengio 2010, four times
        wider as for every logistic sigmoid.
    hbias, vbias : shared or other symbolic variables, floatX, (n_hidden,) and (n_visible,), optional
        Biases of the hidden and of the visible units; by default zero.
    numpy_rng : numpy.random.RandomState, optional
        Draws the seed of ``theano_rng`` and then the weights, where these are not
        given; by default ``RandomState(1234)``.
    theano_rng : theano.tensor.shared_randomstreams.RandomStreams, optional
        Draws the states of the units.

    Attributes
    ----------
    params : list
        ``[W, hbias, vbias]``.
    architecture : dict
        ``n_visible`` and ``n_hidden``, for :meth:`from_parameters`.

    Raises
    ------
    TypeError
        If ``input`` is not a matrix, or a parameter is not a symbolic variable.
    ValueError
        If a size is below one or a given parameter has another shape.

    Examples
    --------
    >>> machine = RBM(n_visible=784, n_hidden=500)
    >>> cost, updates = machine.get_cost_updates(lr=0.1, k=1)
    """

    def __init__(
        self,
        input=None,
        n_visible=784,
        n_hidden=500,
        W=None,
        hbias=None,
        vbias=None,
        numpy_rng=None,
        theano_rng=None,
    ):
        require_counts(n_visible=n_visible, n_hidden=n_hidden)
        if numpy_rng is None:
            numpy_rng = np.random.RandomState(1234)
        if theano_rng is None:
            theano_rng = RandomStreams(numpy_rng.randint(2**30))
        if W is None:
            weights = glorot_uniform(numpy_rng, n_visible, n_hidden, (n_visible, n_hidden), scale=4)
            W = theano.shared(weights, name="W", borrow=True)
        if hbias is None:
            hbias = theano.shared(np.zeros(n_hidden, dtype=theano.config.floatX), name="hbias", borrow=True)
        if vbias is None:
            vbias = theano.shared(np.zeros(n_visible, dtype=theano.config.floatX), name="vbias", borrow=True)
        require_parameter("W", W, (n_visible, n_hidden))
        require_parameter("hbias", hbias, (n_hidden,))
        require_parameter("vbias", vbias, (n_visible,))
        self.n_visible, self.n_hidden = int(n_visible), int(n_hidden)
        self.architecture = {"n_visible": self.n_visible, "n_hidden": self.n_hidden}
        self.W, self.hbias, self.vbias = W, hbias, vbias
        self.theano_rng = theano_rng
        self.input = T.matrix("input") if input is None else input
        require_ndim(2, input=self.input)
        self.params = [self.W, self.hbias, self.vbias]

    def __repr__(self):
        return described(self, "architecture")

    @classmethod
    def from_parameters(cls, parameters, n_visible, n_hidden):
        """Build a saved model from shared variables by name and from its ``architecture``."""
        given = (parameters[name] for name in ("W", "hbias", "vbias"))
        return cls(T.matrix("x"), n_visible, n_hidden, *given, theano_rng=RandomStreams(0))

    def free_energy(self, v_sample):
        """Free energy F of visible states: floatX, (n_examples,), in nats."""
        wx_b = T.dot(v_sample, self.W) + self.hbias
        return -T.sum(T.log(1 + T.exp(wx_b)), axis=1) - T.dot(v_sample, self.vbias)

    def propup(self, vis):
        """Activation of the hidden units before and after the sigmoid: two of floatX, (n_examples, n_hidden)."""
        pre_sigmoid = T.dot(vis, self.W) + self.hbias
        return [pre_sigmoid, T.nnet.sigmoid(pre_sigmoid)]

    def propdown(self, hid):
        """Activation of the visible units before and after the sigmoid: two of floatX, (n_examples, n_visible)."""
        pre_sigmoid = T.dot(hid, self.W.T) + self.vbias
        return [pre_sigmoid, T.nnet.sigmoid(pre_sigmoid)]

    def sample_h_given_v(self, v0_sample):
        """Activation of the hidden units before and after the sigmoid, and a sample of them: three of floatX."""
        return self._with_sample(*self.propup(v0_sample))

    def sample_v_given_h(self, h0_sample):
        """Activation of the visible units before and after the sigmoid, and a sample of them: three of floatX."""
        return self._with_sample(*self.propdown(h0_sample))

    def _with_sample(self, pre_sigmoid, mean):
        sample = self.theano_rng.binomial(size=mean.shape, n=1, p=mean, dtype=theano.config.floatX)
        return [pre_sigmoid, mean, sample]

    def gibbs_hvh(self, h0_sample):
        """One step of Gibbs sampling from hidden states.

        Returns
        -------
        list of six symbolic matrices, floatX
            Those of :meth:`sample_v_given_h`, and of :meth:`sample_h_given_v` for its sample.
        """
        of_visible = self.sample_v_given_h(h0_sample)
        return of_visible + self.sample_h_given_v(of_visible[-1])

    def gibbs_vhv(self, v0_sample):
        """One step of Gibbs sampling from visible states.

        Returns
        -------
        list of six symbolic matrices, floatX
            Those of :meth:`sample_h_given_v`, and of :meth:`sample_v_given_h` for its sample.
        """
        of_hidden = self.sample_h_given_v(v0_sample)
        return of_hidden + self.sample_v_given_h(of_hidden[-1])

    def get_cost_updates(self, lr=0.1, persistent=None, k=1):
        """Monitored value of a minibatch, and the updates of one step of CD-k or PCD-k.

        Parameters
        ----------
        lr : float or scalar symbolic variable
            Learning rate.
        persistent : shared variable, floatX, (batch_size, n_hidden), optional
            State of the persistent chain. Without it, the chain begins at the data.
        k : int
            Number of Gibbs steps.

        Returns
        -------
        (scalar symbolic variable, dict of shared variable to symbolic expression)
            With a persistent chain the pseudo-likelihood, else minus the cross-entropy
            of the reconstruction; both in nats, and higher is better. The updates are
            of the parameters, the chain and the random streams.

        Raises
        ------
        TypeError
            If a symbolic learning rate is no scalar.
        ValueError
            If a number is out of its range.

        References
        ----------
        Hinton 2002, section 4; Tieleman 2008, section 3.3.
        """
        require_counts(k=k)
        # Drawn with a persistent chain, too: the streams of the chain are the next ones.
        _, _, ph_sample = self.sample_h_given_v(self.input)
        chain_start = ph_sample if persistent is None else persistent
        outputs, updates = theano.scan(
            self.gibbs_hvh, outputs_info=[None] * 5 + [chain_start], n_steps=int(k), name="gibbs_hvh"
        )
        pre_sigmoid_nvs, _, nv_samples, _, _, nh_samples = outputs
        chain_end = nv_samples[-1]

        cost = T.mean(self.free_energy(self.input)) - T.mean(self.free_energy(chain_end))
        updates.update(sgd_updates(cost, self.params, lr, consider_constant=[chain_end]))
        if persistent is None:
            return self.get_reconstruction_cost(updates, pre_sigmoid_nvs[-1]), updates
        updates[persistent] = nh_samples[-1]
        return self.get_pseudo_likelihood_cost(updates), updates

    def get_pseudo_likelihood_cost(self, updates):
        """Estimate of the pseudo-likelihood from one bit, the next one at each call of the function.

        Parameters
        ----------
        updates : dict of shared variable to symbolic expression
            Gets that of the index of the bit.

        Returns
        -------
        scalar symbolic variable, floatX
            ``n_visible * log P(v_i | all other v)``, mean over the minibatch, in nats.

        References
        ----------
        J. Besag, "Statistical analysis of non-lattice data", The Statistician 24, 1975.
        """
        bit_i_idx = theano.shared(value=0, name="bit_i_idx")
        xi = T.round(self.input, mode="half_to_even")
        xi_flip = T.set_subtensor(xi[:, bit_i_idx], 1 - xi[:, bit_i_idx])
        difference = self.free_energy(xi_flip) - self.free_energy(xi)
        cost = T.mean(self.n_visible * T.log(T.nnet.sigmoid(difference)))
        updates[bit_i_idx] = (bit_i_idx + 1) % self.n_visible
        return cost

    def get_reconstruction_cost(self, updates, pre_sigmoid_nv):
        """Minus the cross-entropy of the input with its reconstruction, mean over the minibatch, in nats.

        Parameters
        ----------
        updates : dict
            Left as it is.
        pre_sigmoid_nv : symbolic matrix, floatX, (n_examples, n_visible)
            Activation of the visible units before the sigmoid. Theano needs it to
            compute the logarithm of a sigmoid without loss.
        """
        nv_mean = T.nnet.sigmoid(pre_sigmoid_nv)
        return T.mean(T.sum(self.input * T.log(nv_mean) + (1 - self.input) * T.log(1 - nv_mean), axis=1))


def train_rbm(
    learning_rate=0.1,
    n_epochs=15,
    dataset="mnist",
    batch_size=20,
    n_hidden=500,
    k=15,
    n_chains=20,
    n_samples=10,
    plot_every=1000,
    seed=123,
    output_dir=None,
    resume=False,
    overwrite=False,
    tensorboard=False,
):
    """Train a restricted Boltzmann machine on MNIST or a data set like it.

    Parameters
    ----------
    learning_rate : float
        Step size of gradient descent.
    n_epochs : int
        Number of passes over the training set.
    dataset : str, path or arrays
        mnist, fashion-mnist, kmnist, or the path of a folder of IDX files, of an
        .npz, a .csv or a .pkl.gz file. In Python, arrays too: read_data lists them.
        Values have to be in [0, 1].
    batch_size : int
        Number of examples in a minibatch, and of persistent chains.
    n_hidden : int
        Number of hidden units.
    k : int
        Number of Gibbs steps for an update (PCD-k).
    n_chains : int
        Number of chains that are sampled after the training, from test examples.
    n_samples : int
        Number of samples of each chain.
    plot_every : int
        Number of Gibbs steps from one sample to the next.
    seed : int
        Seed of the weights and of all samples.
    output_dir, resume, overwrite, tensorboard
        See :func:`theano_tutorials.open_run`.

    Returns
    -------
    theano_tutorials.TrainingResult

    Raises
    ------
    ValueError
        If an argument is out of its range or the data is not valid.
    theano_tutorials.TrainingDiverged
        If the cost becomes NaN or infinite.

    Notes
    -----
    Defaults are those of the tutorial; it published a pseudo-likelihood of -90.65 in
    the first epoch and of -62.76 in the fifteenth.
    """
    arguments = dict(locals())
    require_counts(k=k, n_chains=n_chains, n_samples=n_samples, plot_every=plot_every)
    datasets = load_data(dataset)
    train_x, _ = datasets[0]
    n_batches = number_of_minibatches(train_x, batch_size)
    test_x = datasets[2][0]
    if n_chains > number_of_examples(test_x):
        raise ValueError(
            f"n_chains is {n_chains}: expected at most {number_of_examples(test_x)}, the size of the test set"
        )
    run = open_run(output_dir, "rbm", arguments, datasets, resume, overwrite, tensorboard)

    rng = np.random.RandomState(seed)
    theano_rng = RandomStreams(rng.randint(2**30))
    persistent_chain = theano.shared(
        np.zeros((batch_size, n_hidden), dtype=theano.config.floatX), name="persistent_chain", borrow=True
    )
    machine = RBM(T.matrix("x"), datasets.n_features, n_hidden, numpy_rng=rng, theano_rng=theano_rng)
    monitored, updates = machine.get_cost_updates(learning_rate, persistent_chain, k)

    function = minibatch_function([machine.input], monitored, [train_x], batch_size, updates)
    particles = theano.function([], machine.propdown(persistent_chain)[1])

    def draw(epoch):
        draw_filters(run, machine.W, datasets, f"filters_epoch_{epoch:02}.png")
        draw_images(run, particles, batch_size, datasets, f"chains_epoch_{epoch:02}.png")

    result = pretrain(function, machine, n_batches, n_epochs, run, MAIN_PHASE, "pseudo-likelihood", draw)
    draw_filters(run, machine.W, datasets)
    draw_images(run, lambda: _samples(machine, test_x, rng, n_chains, n_samples, plot_every), n_chains, datasets)
    return result


def _samples(machine, test_x, rng, n_chains, n_samples, plot_every):
    # Means of the visible units: a row for each sample, a column for each chain.
    examples = test_x.get_value(borrow=True)
    first = rng.randint(max(1, len(examples) - n_chains))
    chain = theano.shared(examples[first : first + n_chains])
    outputs, updates = theano.scan(
        machine.gibbs_vhv, outputs_info=[None] * 5 + [chain], n_steps=plot_every, name="gibbs_vhv"
    )
    _, _, _, _, vis_mfs, vis_samples = outputs
    updates[chain] = vis_samples[-1]
    step = theano.function([], vis_mfs[-1], updates=updates)
    return np.concatenate([step() for _ in range(n_samples)])
