/* The least program with a network: its size is what the network takes, with the parts of libc and libm that it needs. */
#include NET_FILE

#define PASTE(a, b) a##b
#define RUN_OF(net) PASTE(net, _run)

volatile unsigned char port;

int main(void)
{
    extern ELEMENT network_input[], network_output[];
    RUN_OF(NET)(network_input, network_output);
    port = (unsigned char)network_output[0];
    return 0;
}

/* What the caller has; not counted. */
ELEMENT network_input[1], network_output[1];
