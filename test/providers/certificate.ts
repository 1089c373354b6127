/** A certificate for 127.0.0.1 that nobody trusts, and its key: for tests only. Made with `openssl req -x509 -newkey ec -subj "/CN=escapement test" -addext subjectAltName=IP:127.0.0.1 -days 36500`. */
export const certificate = `-----BEGIN CERTIFICATE-----
MIIBnTCCAUKgAwIBAgIUGhI4n/UCXqgV6b7thm8je7d3kZIwCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPZXNjYXBlbWVudCB0ZXN0MCAXDTI2MTEyNDE0MDM0MFoYDzIx
MjYxMDMxMTQwMzQwWjAaMRgwFgYDVQQDDA9lc2NhcGVtZW50IHRlc3QwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAAQd1AXhq7pT+H2JvTglbCcnbT01sLeMLuVfsw6U
EhXqDfak6nRV3th6lCALjf1eHijmRzFIdCJ+DDsgbbbuV1nQo2QwYjAdBgNVHQ4E
FgQUwAYGxBdt4tZO6iFvIcokm/StRTYwHwYDVR0jBBgwFoAUwAYGxBdt4tZO6iFv
Icokm/StRTYwDwYDVR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqG
SM49BAMCA0kAMEYCIQDhC6/Upka8zd9jrKUkolRSg7btl76+GikAr3CStWjIpwIh
ALug7mfqhvQ9lshexA9VdeeAo3/MB3EscXVei3WnDIjE
-----END CERTIFICATE-----
`;
export const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjfqGh4Z3euHu3TkH
N7f4rZT3XHeteBEDHUUwI7w5di2hRANCAAQd1AXhq7pT+H2JvTglbCcnbT01sLeM
LuVfsw6UEhXqDfak6nRV3th6lCALjf1eHijmRzFIdCJ+DDsgbbbuV1nQ
-----END PRIVATE KEY-----
`;
