/* BCC refuses to compile for a kernel configured without BPF. */
#define CONFIG_BPF_SYSCALL 1
