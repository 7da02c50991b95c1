import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """The same figures everywhere (ZOO-1), and no threads that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
