/* BCC asks for this header; nothing of it is needed here. */
