#ifdef LIBRARY
const char *greeting(void) { return "hello"; }
#endif
#ifdef PROGRAM
#include <stdio.h>
const char *greeting(void);
int main(void) { return puts(greeting()) < 0; }
#endif
