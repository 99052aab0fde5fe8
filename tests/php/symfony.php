<?php
// Debian's php-symfony-mercure as an application uses it. Orders and reports are JSON, one object a line.
// Usage: php symfony.php HUB SECRET
// Order {"publish": {topics, data, private, id, type, retry}}: says {"id"}, or {"status"} and {"refused"} where it was refused.
// Order {"cookie": {subscribe, publish, page}}: says {"cookie"}, the field Set-Cookie that a page at that address would send.

declare(strict_types=1);

require_once 'Symfony/Component/Mercure/autoload.php';
require_once __DIR__.'/Tokens.php';

use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\Mercure\Authorization;
use Symfony\Component\Mercure\Exception\RuntimeException;
use Symfony\Component\Mercure\Hub;
use Symfony\Component\Mercure\HubRegistry;
use Symfony\Component\Mercure\Jwt\FactoryTokenProvider;
use Symfony\Component\Mercure\Update;
use Symfony\Contracts\HttpClient\Exception\HttpExceptionInterface;

[, $url, $secret] = $argv;
$tokens = new Tokens($secret);
$hub = new Hub($url, new FactoryTokenProvider($tokens, [], ['https://example.com/{+path}']), $tokens);
$authorization = new Authorization(new HubRegistry($hub));

while (false !== $line = fgets(STDIN)) {
    $order = json_decode($line, true, flags: JSON_THROW_ON_ERROR);
    if (isset($order['publish'])) {
        $update = $order['publish'];
        try {
            $report = ['id' => $hub->publish(new Update(
                $update['topics'],
                $update['data'],
                $update['private'] ?? false,
                $update['id'] ?? null,
                $update['type'] ?? null,
                $update['retry'] ?? null,
            ))];
        } catch (RuntimeException $exception) {
            $cause = $exception->getPrevious();
            $response = $cause instanceof HttpExceptionInterface ? $cause->getResponse() : null;
            $report = ['status' => $response?->getStatusCode(), 'refused' => $response?->getContent(false) ?? (string) $cause];
        }
    } else {
        $cookie = $order['cookie'];
        $page = Request::create($cookie['page']);
        $report = ['cookie' => (string) $authorization->createCookie($page, $cookie['subscribe'], $cookie['publish'])];
    }
    echo json_encode($report, JSON_UNESCAPED_SLASHES), "\n";
}
