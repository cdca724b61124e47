"""``hmc.py`` of the course."""

from theano_tutorials.hmc import (
    HMC_sampler,
    hamiltonian,
    hmc_move,
    hmc_updates,
    kinetic_energy,
    metropolis_hastings_accept,
    simulate_dynamics,
)
from theano_tutorials.legacy.course import IMPORTED

globals().update(IMPORTED)
