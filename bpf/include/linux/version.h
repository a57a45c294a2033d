/* The loader passes WEBPF_LINUX_VERSION_CODE for the running kernel. */
#ifndef KERNEL_VERSION
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#endif
#ifndef LINUX_VERSION_CODE
#define LINUX_VERSION_CODE WEBPF_LINUX_VERSION_CODE
#endif
