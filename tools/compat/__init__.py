"""The truth suite on other kernels, in qemu, and in chroots of other distributions."""
