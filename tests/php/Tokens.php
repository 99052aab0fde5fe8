<?php
// The tokens of the applications that Symfony's component publishes for.

declare(strict_types=1);

use Symfony\Component\Mercure\Jwt\TokenFactoryInterface;

/** HS256 with PHP's own means: Debian has no package of lcobucci/jwt, for which the component has a factory. */
final class Tokens implements TokenFactoryInterface
{
    public function __construct(private string $secret)
    {
    }

    public function create(?array $subscribe = [], ?array $publish = [], array $additionalClaims = []): string
    {
        $claims = ['mercure' => ['publish' => $publish ?? [], 'subscribe' => $subscribe ?? []]];
        foreach ($additionalClaims as $name => $value) {
            // A date with its fraction of a second, as lcobucci/jwt writes it.
            $claims[$name] = $value instanceof DateTimeInterface ? (float) $value->format('U.u') : $value;
        }
        $signed = $this->encode(json_encode(['typ' => 'JWT', 'alg' => 'HS256'])).'.'.$this->encode(json_encode($claims));

        return $signed.'.'.$this->encode(hash_hmac('sha256', $signed, $this->secret, true));
    }

    private function encode(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}
