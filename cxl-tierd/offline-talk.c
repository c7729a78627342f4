/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/socket.h>

#include "offline.h"

bool offline_receive(int socket, struct offline_message *ret)
{
	ssize_t n;

	/* A peer that ends without having read all that it was told: that error comes before its last words. */
	do
		n = recv(socket, ret, sizeof(*ret), MSG_DONTWAIT);
	while (n < 0 && (errno == ECONNRESET || errno == EINTR));
	if (n == (ssize_t)sizeof(*ret))
		return true;
	if (n >= 0 || errno != EAGAIN)
		errno = 0;
	return false;
}
