/* Sends every datagram back to where it came from; argument: the port. Busybox has no UDP server. */
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
    char buffer[65536];
    struct sockaddr_in self = {.sin_family = AF_INET};
    int socket_fd = socket(AF_INET, SOCK_DGRAM, 0);
    self.sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 0));
    if (bind(socket_fd, (struct sockaddr *)&self, sizeof self) != 0) return 1;
    for (;;) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        ssize_t got = recvfrom(socket_fd, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &length);
        if (got >= 0) sendto(socket_fd, buffer, (size_t)got, 0, (struct sockaddr *)&peer, length);
    }
}
