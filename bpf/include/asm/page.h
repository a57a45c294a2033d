/* BCC's headers ask for a page size; nothing that is compiled here depends on it. */
#define PAGE_SIZE 4096
