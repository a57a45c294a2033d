/* The loader passes the page size of the running kernel: 4 KiB, or 16 or 64 KiB on some arm64 machines. */
#define PAGE_SIZE WEBPF_PAGE_SIZE
