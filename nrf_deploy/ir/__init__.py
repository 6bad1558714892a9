"""The representations: network, program, recording, and views of them."""
